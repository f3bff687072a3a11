"""The shop's pages, as JSON."""

from django.db import transaction
from django.db.models import F, Sum
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from shop.models import Album, Sale


def albums(request: HttpRequest) -> JsonResponse:
    """Everything on the shelf, from the nearest replica that may answer."""
    shelf = Album.objects.select_related("artist").annotate(earned=Sum("sales__paid"))
    return JsonResponse(
        {
            "database": shelf.db,
            "albums": [
                {
                    "id": album.id,
                    "artist": album.artist.name,
                    "title": album.title,
                    "stock": album.stock,
                    "earned": str(album.earned or 0),
                }
                for album in shelf
            ],
        }
    )


@require_POST
def sell(request: HttpRequest, album_id: int) -> JsonResponse:
    """Sell one; the stock and the sale change together, or neither does."""
    with transaction.atomic():
        album = get_object_or_404(Album, pk=album_id)
        if not Album.objects.filter(pk=album_id, stock__gt=0).update(
            stock=F("stock") - 1
        ):
            return JsonResponse({"error": "sold out"}, status=409)
        sale = Sale.objects.create(album=album, paid=album.price)
    return JsonResponse({"sale": sale.id})
