/**
 * The line protocol of the Tokio guide, the smallest protocol with a handshake.
 *
 * Frames are lines of UTF-8 text that end with `\n`; a `\r` is data. The client says `You ready?` and the server
 * answers `Bring it!` and takes requests, or `No! Go away!` and closes. Behind the handshake each request line gets one
 * response line, in order, and clients may pipeline.
 *
 * @since 0.1.0
 */
import * as Codec from "../Codec.ts"
import * as Handshake from "../Handshake.ts"
import * as Protocol from "../Protocol.ts"
import * as Transport from "../Transport.ts"

const question = "You ready?"
const welcome = "Bring it!"
const refusal = "No! Go away!"

/**
 * The protocol with lines of another maximum length, in bytes without the ending; the default is 64 KiB.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: { readonly maxLength?: number | undefined }) => {
  const lines = Transport.framed(Codec.lines(options))
  return Protocol.make({
    name: "line",
    server: lines.pipe(
      Handshake.expect(question, { orReply: refusal }),
      Handshake.send(welcome)
    ),
    client: lines.pipe(
      Handshake.send(question),
      Handshake.expect(welcome, { rejections: [refusal] })
    ),
    refuse: () => Handshake.refuse(lines, refusal)
  })
}

/**
 * The protocol with its defaults.
 *
 * @category protocols
 * @since 0.1.0
 */
export const protocol = make()

/**
 * The server's handshake: receives `You ready?` and answers `Bring it!`, or else `No! Go away!`.
 *
 * @category handshakes
 * @since 0.1.0
 */
export const server = protocol.server

/**
 * The client's handshake: says `You ready?` and fails as `Rejected` on `No! Go away!`.
 *
 * @category handshakes
 * @since 0.1.0
 */
export const client = protocol.client
