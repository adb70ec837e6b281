/**
 * The line protocol of the Tokio guide, the smallest protocol with a handshake.
 *
 * Frames are lines of UTF-8 text that end with `\n`; a `\r` is data. The client says `You ready?` and the server
 * answers `Bring it!` and takes requests, or `No! Go away!` and closes. Behind the handshake each request line gets one
 * response line, in order, and clients may pipeline.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Codec from "../Codec.ts"
import * as Dialogue from "../Dialogue.ts"
import type * as Protocol from "../Protocol.ts"
import type * as Transport from "../Transport.ts"
import * as Wire from "../Wire.ts"

const write = (lines: Codec.Codec<string, string>) =>
  Dialogue.make<Line>()({
    name: "line",
    messages: { Question: {}, Welcome: {}, Refusal: {} },
    wire: Wire.text(lines, { Question: "You ready?", Welcome: "Bring it!", Refusal: "No! Go away!" }),
    live: lines,
    start: "question",
    states: {
      question: Dialogue.client({ Question: "answer" }),
      answer: Dialogue.server({ Welcome: Dialogue.ready, Refusal: Dialogue.refused() })
    },
    otherwise: { server: "Refusal" }
  })

/**
 * What is said, written down once.
 *
 * @category dialogues
 * @since 0.1.0
 */
export class Line extends write(Codec.lines()) {}

/**
 * The protocol with lines of another maximum length, in bytes without the ending; the default is 64 KiB.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: {
  /** Of a line, in bytes, without its ending. Default: 64 KiB. */
  readonly maxLength?: number | undefined
}): Protocol.Protocol<
  Transport.Transport<string, string>,
  Transport.Transport<string, string>
> => {
  const line = write(Codec.lines(options))
  return {
    name: "line",
    server: line.serverTurns({ answer: "Welcome" }),
    client: line.client((question) =>
      Effect.flatMap(question.say("Question"), (answer) => Effect.map(answer.receive, ({ then }) => then))
    )
  }
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
