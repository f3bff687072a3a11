"""What operators order: switchover, promotion, members, tokens, databases."""
