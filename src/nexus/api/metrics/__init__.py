"""What Prometheus scrapes: every metric, where its figure is from, and the text."""
