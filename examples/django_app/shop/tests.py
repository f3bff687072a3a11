"""The shop's own tests; `manage.py test` runs them on a node of their own."""

from datetime import UTC, date, datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Avg, Count, F, StdDev, Window
from django.db.models.functions import ExtractYear, Lower, RowNumber, TruncMonth
from django.test import TestCase, TransactionTestCase

from shop.models import Album, Artist, Sale


class Shelf(TestCase):
    """Queries of many kinds on a small shelf."""

    @classmethod
    def setUpTestData(cls) -> None:
        bach = Artist.objects.create(name="Bach")
        brahms = Artist.objects.create(name="Brahms")
        Album.objects.bulk_create(
            Album(
                artist=[bach, brahms][number % 2],
                title=f"Opus {number}",
                price=Decimal("9.90") + number,
                stock=number,
                released=date(2000 + number % 5, 1 + number % 12, 1),
                facts={"keys": ["C", "G"][: number % 3], "number": number},
            )
            for number in range(40)
        )

    def test_values_come_back_as_they_were(self) -> None:
        album = Album.objects.get(title="Opus 7")

        self.assertEqual(album.price, Decimal("16.90"))
        self.assertEqual(album.released, date(2002, 8, 1))
        self.assertEqual(album.facts, {"keys": ["C"], "number": 7})
        self.assertEqual(album.value, Decimal("118.30"))

    def test_djangos_own_functions_run_on_the_node(self) -> None:
        years = Album.objects.annotate(year=ExtractYear("released")).values("year")
        found = years.annotate(n=Count("id")).order_by("year")

        self.assertEqual([row["n"] for row in found], [8] * 5)
        self.assertTrue(Album.objects.filter(title__regex=r"^Opus 1\d$").count() == 10)
        self.assertTrue(Album.objects.aggregate(d=StdDev("price"))["d"] > 0)
        self.assertEqual(
            Album.objects.annotate(m=TruncMonth("released")).filter(m__month=3).count(),
            4,
        )

    def test_json_windows_and_grouping(self) -> None:
        self.assertEqual(Album.objects.filter(facts__number__gte=38).count(), 2)
        ranked = Album.objects.annotate(
            place=Window(RowNumber(), partition_by="artist", order_by=F("price").desc())
        ).filter(place=1)
        self.assertEqual({album.title for album in ranked}, {"Opus 38", "Opus 39"})
        mean = Artist.objects.annotate(mean=Avg("albums__price")).order_by(
            Lower("name")
        )
        self.assertEqual(
            [round(a.mean, 2) for a in mean], [Decimal("28.90"), Decimal("29.90")]
        )

    def test_an_inner_block_is_taken_back_alone(self) -> None:
        with transaction.atomic():
            Artist.objects.create(name="Chopin")
            with self.assertRaises(IntegrityError), transaction.atomic():
                Artist.objects.create(name="Bach")

        self.assertTrue(Artist.objects.filter(name="Chopin").exists())

    def test_a_negative_price_is_refused(self) -> None:
        with self.assertRaises(IntegrityError):
            Album.objects.filter(title="Opus 1").update(price=-1)


class Business(TransactionTestCase):
    """What spans transactions."""

    def test_a_sale_takes_one_from_the_shelf(self) -> None:
        artist = Artist.objects.create(name="Bach")
        album = Album.objects.create(artist=artist, title="Opus", price=10, stock=1)

        self.assertEqual(self.client.post(f"/albums/{album.id}/sell").status_code, 200)
        self.assertEqual(self.client.post(f"/albums/{album.id}/sell").status_code, 409)

        shelf = self.client.get("/").json()["albums"]
        self.assertEqual((shelf[0]["stock"], shelf[0]["earned"]), (0, "10"))
        self.assertTrue(Sale.objects.get().at <= datetime.now(UTC))

    def test_a_key_to_nothing_is_refused_at_the_end(self) -> None:
        with self.assertRaises(IntegrityError), transaction.atomic():
            Sale.objects.create(album_id=999, paid=1)

        self.assertEqual(Sale.objects.count(), 0)

    def test_the_back_office_adds_and_lists(self) -> None:
        User.objects.create_superuser("ann", password="secret")
        self.assertTrue(self.client.login(username="ann", password="secret"))

        added = self.client.post("/admin/shop/artist/add/", {"name": "Clara"})
        self.assertEqual(added.status_code, 302)
        for page in ("", "shop/artist/", "shop/album/?q=o", "shop/sale/"):
            self.assertEqual(self.client.get(f"/admin/{page}").status_code, 200)
        self.assertTrue(Artist.objects.filter(name="Clara").exists())

    def test_foreign_keys_are_enforced_by_the_connection(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("pragma foreign_keys")
            self.assertEqual(cursor.fetchone(), (1,))

    def test_the_migrations_are_those_of_the_models(self) -> None:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from django_migrations where app = 'shop'")
            self.assertEqual(cursor.fetchone(), (2,))
