"""What is done: asyncio drivers that carry out effects and decide nothing."""
