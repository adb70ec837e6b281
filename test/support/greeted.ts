/**
 * A handshake in which the server says whether it takes this client: `welcome`, `password?`, `never`, or anything else, behind which may
 * stand in how many seconds to come back.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as HandshakeError from "../../src/HandshakeError.ts"
import * as Transport from "../../src/Transport.ts"
import type { Meets } from "./dialled.ts"

export const handshake = Transport.framed(Codec.lines()).pipe(
  Handshake.verify("greeting", (line) => {
    const [word, seconds] = line.split(" ")
    if (word === "welcome") return Effect.void
    return Effect.fail<HandshakeError.Reason>(
      word === "password?"
        ? new HandshakeError.AuthenticationFailed({ method: "password", detail: "it is wrong", fault: "local" })
        : new HandshakeError.Rejected({
          by: "peer",
          said: line,
          retryable: word !== "never",
          ...seconds !== undefined && { retryAfter: Duration.seconds(Number(seconds)) }
        })
    )
  }),
  Handshake.named("test")
)

export const welcome: Meets = ["welcome"]
