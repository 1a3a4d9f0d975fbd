"""What a cell trains on: images in memory, their parts, corruption and augmentation."""
