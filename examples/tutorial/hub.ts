/**
 * One room for many machines, from step 6 on: the hub has it, and machines are its clients, by the very same login and lines.
 *
 *     C  ann: Hello           what ann says, on this machine
 *     S  OK
 *     S  7 ann: Hello         to all machines, this one too
 */
import { Effect, Layer, PubSub, Redacted, Stream } from "effect"
import { Client, Pipeline, type Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import type { NetAddress } from "effect/net"
import * as Chat from "./chat.ts"
import type * as Login from "./login.ts"
import * as Secure from "./secure.ts"

/** Users have none of these keys: whoever has one may speak for anybody. */
export const machines: Login.Keys = new Map([
  ["a", Redacted.make("key of machine a")],
  ["b", Redacted.make("key of machine b")]
])

/** The hub's end of a connection. */
export const serve = Effect.fnUntraced(function*(transport: Transport.Transport<string, string>) {
  const room = yield* Chat.Room
  const saying = Pipeline.serve(
    Effect.fnUntraced(function*(line: string) {
      const [, from, text] = /^(\w+): (.*)$/s.exec(line) ?? []
      // A machine hears OK or the end of its connection, and so knows of nothing that was not said.
      if (from === undefined) return yield* Effect.fail("this is no message of a machine")
      yield* room.say(from, text)
      return "OK"
    }),
    { goodbye: "BYE" }
  )
  const hearing = Stream.run(Stream.map(room.heard, Chat.write), transport.outgoing)
  yield* Effect.raceFirst(saying(transport), hearing)
})

/** The room of the hub, on a machine. */
export const room = (machine: string, address: NetAddress.SocketAddress) =>
  Layer.effect(
    Chat.Room,
    Effect.gen(function*() {
      const messages = yield* PubSub.bounded<Chat.Message>({ capacity: 64, replay: 32 })
      const hub = yield* Client.reconnecting({
        protocol: { name: "hub", client: Secure.client(machine, { key: machines.get(machine) }) },
        sockets: [Net.socket(address)],
        ...Chat.hearing((message) => PubSub.publish(messages, message))
      })
      return Chat.Room.of({
        say: (from, text) => hub.call(`${from}: ${text}`),
        heard: Stream.fromPubSub(messages)
      })
    })
  )
