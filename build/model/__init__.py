"""Value types shared by the other packages: releases, colours, states, labels. No I/O."""
