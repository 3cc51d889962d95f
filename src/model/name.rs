//! File names: from what a stranger's camera wrote to what every file system can hold.
