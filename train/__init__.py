"""What pre-training and fine-tuning share: losses, augmentation, batches, averaged weights, processes, logs."""
