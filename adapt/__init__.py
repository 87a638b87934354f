"""Training: supervised pre-training on synthetic hands, and SemiHand adaptation."""
