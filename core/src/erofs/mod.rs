//! The records of an EROFS image.
