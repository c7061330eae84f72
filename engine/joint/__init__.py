"""The joint view of cells measured both ways: embedded in parts, grouped, and judged beside either modality alone."""
