"""From labelled pictures to what a network sees of them: sized, and in training never twice the same."""
