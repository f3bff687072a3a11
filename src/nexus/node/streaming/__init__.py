"""What both ends of a stream work with: faces, frames, snapshots, screening."""
