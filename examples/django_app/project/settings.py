"""Settings: one cluster, and the replica beside this process for reads."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "only-for-trying-it-out")
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]

DATABASES = {
    "default": {
        "ENGINE": "nexus.django",
        "NAME": os.environ.get("SHOP_DATABASE", "nexus://127.0.0.1:15475"),
    }
}
if replica := os.environ.get("SHOP_REPLICA"):  # the data directory of a local node
    DATABASES["replica"] = {
        "ENGINE": "nexus.django",
        "NAME": replica,
        "TEST": {"MIRROR": "default"},
    }
    DATABASE_ROUTERS = ["nexus.django.routers.ReplicaRouter"]
    NEXUS_REPLICAS = ["replica"]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "shop",
]
MIDDLEWARE = [
    "nexus.django.middleware.ReadYourWrites",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
ROOT_URLCONF = "project.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
TIME_ZONE = "UTC"
USE_TZ = True
