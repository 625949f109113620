//! One layer, from its blob to its verified image.
