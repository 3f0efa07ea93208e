"""Services as others ran them: predicted, held against what was measured, and used as anchors."""
