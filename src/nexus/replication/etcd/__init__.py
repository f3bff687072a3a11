"""Who reigns where etcd decides: the leader key, its lease, and who holds all."""
