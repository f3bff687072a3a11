"""Where everything is."""

from django.contrib import admin
from django.urls import path
from shop import views

urlpatterns = [
    path("", views.albums),
    path("albums/<int:album_id>/sell", views.sell),
    path("admin/", admin.site.urls),
]
