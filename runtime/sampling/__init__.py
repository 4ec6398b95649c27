"""From logits to tokens: penalties, truncation, seeds, log probabilities."""
