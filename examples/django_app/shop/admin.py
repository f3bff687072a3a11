"""The shop's back office."""

from django.contrib import admin

from shop.models import Album, Artist, Sale


@admin.register(Album)
class AlbumAdmin(admin.ModelAdmin):
    """Albums, to be searched and filtered."""

    list_display = ["title", "artist", "price", "stock", "value"]
    list_filter = ["artist"]
    search_fields = ["title", "artist__name"]


@admin.register(Sale)
class SaleAdmin(admin.ModelAdmin):
    """Sales, day by day."""

    date_hierarchy = "at"
    list_display = ["album", "at", "paid"]


admin.site.register(Artist)
