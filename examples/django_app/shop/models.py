"""What the shop has and sells."""

from django.db import models
from django.db.models import F, Q


class Artist(models.Model):
    """Who made the music."""

    name = models.CharField(max_length=120, unique=True)
    country = models.CharField(max_length=2, blank=True, default="")

    def __str__(self) -> str:
        return self.name


class Album(models.Model):
    """What is on the shelf."""

    artist = models.ForeignKey(Artist, models.PROTECT, related_name="albums")
    title = models.CharField(max_length=200, db_index=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)
    released = models.DateField(null=True, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    value = models.GeneratedField(
        expression=F("price") * F("stock"),
        output_field=models.DecimalField(max_digits=12, decimal_places=2),
        db_persist=False,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint("artist", "title", name="one_album_of_a_title"),
            models.CheckConstraint(
                condition=Q(price__gte=0), name="price_not_negative"
            ),
        ]
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title


class Sale(models.Model):
    """One album that somebody took home."""

    album = models.ForeignKey(Album, models.CASCADE, related_name="sales")
    at = models.DateTimeField(auto_now_add=True)
    paid = models.DecimalField(max_digits=8, decimal_places=2)
