"""What the other packages talk about: releases, colours, states, labels. Plain values, no I/O."""
