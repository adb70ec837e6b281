/**
 * How frames are sent, without a memory or with one.
 *
 * @internal
 */
import type { Encode, EncodeMany, Encoder, Encoding } from "./model.ts"

/** What a combinator sends by means of another codec, with the memory that this has. */
export const by = <Out, Out2>(
  { encode, encodeMany, encoder }: Encoding<Out>,
  as: (encode: Encode<Out>) => Encode<Out2>,
  asMany?: (encodeMany: EncodeMany<Out>) => EncodeMany<Out2>
): Encoding<Out2> => {
  if (encoder === undefined) {
    return { encode: as(encode!), encodeMany: encodeMany && asMany?.(encodeMany) } // one of the two is there
  }
  return {
    encoder: () => {
      const inner = encoder()
      return { encode: as((frame, into) => inner.encode(frame, into)), checkpoint: () => inner.checkpoint() }
    }
  }
}

/** The same, where all of its frames are encoded as if they were the first of a connection. */
export const first = <Out>({ encode, encoder }: Encoding<Out>): Encode<Out> =>
  encode ?? ((frame, into) => encoder!().encode(frame, into)) // one of the two is there

const memoryless = () => () => {}

/** The encoder of one connection. */
export const encoderOf = <Out>({ encode, encoder }: Encoding<Out>): Encoder<Out> =>
  encoder === undefined ? { encode: encode!, checkpoint: memoryless } : encoder() // as above
