"""Measuring what a method costs in training time and memory."""
