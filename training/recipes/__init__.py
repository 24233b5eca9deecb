"""Recipes: one script a way of training, each readable from top to bottom, none inheriting from another."""
