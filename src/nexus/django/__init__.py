"""Django's database backend: ENGINE = "nexus.django"."""
