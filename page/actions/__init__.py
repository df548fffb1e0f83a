"""What a visitor does, a file for each thing: come, paint, steer, go on, compare, keep, share."""
