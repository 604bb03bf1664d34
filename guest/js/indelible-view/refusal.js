// How a view says no.

/**
 * Throw it with a sentence that says what to do instead. In `init` it refuses the configuration, in `query` the
 * question (HTTP 422). In `append` it fails the view at that event, for good: what cannot be read is better counted.
 */
export class Refusal extends Error {}
