/**
 * The chat itself: what is said behind the handshake, the room, and both ends of a connection. It is the same in all steps.
 *
 *     C  Hello                what the user says
 *     S  OK                   it is in the room: everybody else will hear it
 *     S  7 bob: Hi, ann       at any time: the seventh message of the room
 */
import { Array as Arr, Context, Effect, Layer, PubSub, Queue, type Scope, Semaphore, Stream } from "effect"
import { Client, type HandshakeError, Pipeline, Server, type Transport, type TransportError } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import type { NetAddress } from "effect/net"
import type { Socket } from "effect/socket"

/** A message, with its place in the room. */
export interface Message {
  readonly number: number
  readonly from: string
  readonly text: string
}

/** How it looks on a line. */
export const write = ({ from, number, text }: Message): string => `${number} ${from}: ${text}`

/** Reads such a line. It is none of the answers: those do not begin with a number. */
export const read = (line: string): Message | undefined => {
  const [, number, from, text] = /^(\d+) (\w+): (.*)$/s.exec(line) ?? []
  return number === undefined ? undefined : { number: Number(number), from, text }
}

/** Where everybody hears what anybody says. */
export class Room extends Context.Service<Room, {
  /** Is over when the message is in the room. */
  readonly say: (from: string, text: string) => Effect.Effect<void, TransportError.TransportError>
  /** The last 32 messages, and then what is said from now on. */
  readonly heard: Stream.Stream<Message>
}>()("chat/Room") {
  /** A room in the memory of this process. Who is more than 64 messages behind holds up those who speak. */
  static readonly layer = Layer.effect(
    Room,
    Effect.gen(function*() {
      const messages = yield* PubSub.bounded<Message>({ capacity: 64, replay: 32 })
      const turn = yield* Semaphore.make(1)
      let number = 0
      return Room.of({
        say: (from, text) =>
          Effect.suspend(() => PubSub.publish(messages, { number: ++number, from, text })).pipe(
            Semaphore.withPermits(turn, 1)
          ),
        heard: Stream.fromPubSub(messages)
      })
    })
  )
}

/** A connection of which the handshake has told who is there. */
export type Known = Transport.Transport<string, string> & { readonly user: string }

/** The server's end: what the user says goes into the room, and what the others say comes out of it. */
export const serve = Effect.fnUntraced(function*(transport: Known) {
  const { user } = transport
  const { heard, say } = yield* Room
  const saying = Pipeline.serve((text: string) => Effect.as(say(user, text), "OK"), {
    failure: () => "LOST",
    goodbye: "BYE"
  })
  const hearing = heard.pipe(
    Stream.filter(({ from }) => from !== user),
    Stream.map(write),
    Stream.run(transport.outgoing)
  )
  yield* Effect.raceFirst(saying(transport), hearing)
})

/** The client's end, for `Client`: a line is the answer of a call, or a message. One that comes again is passed over. */
export const hearing = (take: (message: Message) => Effect.Effect<unknown>) => {
  let last = 0
  return {
    unsolicited: {
      is: (line: string) => read(line) !== undefined,
      handle: (line: string) => {
        const message = read(line)!
        if (message.number <= last) return Effect.void
        last = message.number
        return take(message)
      }
    },
    goodbye: (line: string) => line === "BYE"
  }
}

/** The handshake of a client. */
export type Entering = Effect.Effect<
  Transport.Transport<string, string>,
  HandshakeError.HandshakeError,
  Socket.Socket | Scope.Scope
>

/** Enters the room by a handshake. What the others say waits to be heard; it has room for so many. */
export const enter = Effect.fnUntraced(function*(
  handshake: Entering,
  size = 16
) {
  const { address } = yield* Server.Server
  const messages = yield* Queue.bounded<Message>(size)
  const { call, transport } = yield* Client.connect({
    protocol: { name: "chat", client: handshake },
    sockets: [Net.socket(address)],
    ...hearing((message) => Queue.offer(messages, message))
  })
  return { say: call, hear: Effect.map(Queue.take(messages), write), peer: transport.peer }
})

/** Enters the room and stays in it while the scope lives, whichever of the servers is there. */
export const stay = Effect.fnUntraced(function*(
  handshake: Entering,
  addresses: Arr.NonEmptyReadonlyArray<NetAddress.SocketAddress>
) {
  const messages = yield* Queue.bounded<Message>(16)
  const { call, ready } = yield* Client.reconnecting({
    protocol: { name: "chat", client: handshake },
    sockets: Arr.map(addresses, (address) => Net.socket(address)),
    schedule: Client.backoff({ base: "10 millis" }),
    ...hearing((message) => Queue.offer(messages, message))
  })
  yield* ready
  return { say: call, hear: Effect.map(Queue.take(messages), write) }
})
