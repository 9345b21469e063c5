"""Figures that a cardiologist or an engineer can read. They are drawn from arrays alone: no model, no torch."""
