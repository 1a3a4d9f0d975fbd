"""What a cell trains on: images in memory, their split, corruption and augmentation."""
