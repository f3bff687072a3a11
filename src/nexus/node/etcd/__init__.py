"""A node under etcd, whose leader key says who reigns."""
