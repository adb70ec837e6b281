/**
 * Which frames are copied to be written with others.
 *
 * @internal
 */

/**
 * A frame of so few bytes is copied to stand in one array with its header or delimiter, and frames of so few on average
 * to stand in one array with each other. For longer ones the copy costs more than the writes that it saves (measured on
 * a socket of Node).
 */
export const tinyFrame = 256
export const smallFrame = 2048

/** How many bytes they have together. */
export const lengthOf = (frames: ReadonlyArray<Uint8Array>): number => {
  let length = 0
  for (const frame of frames) length += frame.length
  return length
}
