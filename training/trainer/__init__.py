"""What a recipe hands its trainer besides the data: order of batches, faster layers, rehearsal, several processes."""
