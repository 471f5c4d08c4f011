//! Sources that send the same rows in other shapes: taken where nothing is lost, refused in one sentence where something
//! would be.
