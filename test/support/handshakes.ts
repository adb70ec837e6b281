/**
 * The handshakes that the laws are tested on: the line protocol, and one with everything else that the steps offer.
 */
import * as Effect from "effect/Effect"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as HandshakeError from "../../src/HandshakeError.ts"
import * as Protocol from "../../src/Protocol.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Transport from "../../src/Transport.ts"

export const line = Line.make({ maxLength: 64 })

export const password = "hunter2"

const lines = Transport.framed(Codec.lines({ maxLength: 64 }))
const packets = Codec.lengthPrefixed({ bytes: 2, maxLength: 64 })

/**
 * Version, a secret, then another codec:
 *
 *     C HELLO 2          S WHO
 *     C <password>       S OK
 *     both go on with packets
 */
export const vault = Protocol.make({
  name: "vault",
  server: lines.pipe(
    Handshake.verify("version", (hello, transport) =>
      hello === "HELLO 2" ? Effect.void : Effect.fail(
        new HandshakeError.UnsupportedVersion({ offered: Transport.show(transport, hello), supported: ["2"] })
      ), {
      orReply: "BAD VERSION"
    }),
    Handshake.send("WHO"),
    Handshake.verify("password", (given) =>
      given === password
        ? Effect.void
        : Effect.fail(
          new HandshakeError.AuthenticationFailed({ method: "password", detail: "not accepted", fault: "peer" })
        ), { orReply: "NO", secret: true }),
    Handshake.send("OK"),
    Handshake.switchCodec(packets)
  ),
  client: lines.pipe(
    Handshake.exchange("version", "HELLO 2", (reply) =>
      reply === "WHO"
        ? Effect.void
        : Effect.fail(new HandshakeError.InvalidGreeting({ expected: "WHO", received: reply }))),
    Handshake.send(password, { name: "password", secret: true }),
    Handshake.expect("OK", { rejections: ["NO"] }),
    Handshake.switchCodec(packets)
  ),
  refuse: () => Handshake.refuse(lines, "FULL")
})
