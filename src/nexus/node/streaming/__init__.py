"""What both ends of a stream work with: adapters, frames, snapshots, screening."""
