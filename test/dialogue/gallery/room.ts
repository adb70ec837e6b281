/** A room that is joined with a ticket, in JSON; and it says nothing to whoever breaks the rules. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Wire from "../../../src/Wire.ts"

const Ticket = Schema.Struct({ seat: Schema.Int, code: Schema.String })

export class Room extends Dialogue.make<Room>()({
  name: "room",
  messages: {
    Join: {
      room: Schema.String,
      ticket: Ticket,
      token: Schema.Redacted(Schema.String),
      age: Dialogue.free(Schema.optionalKey(Schema.Int))
    },
    Joined: { room: Schema.String, others: Dialogue.free(Schema.Array(Schema.String)) },
    Full: { seconds: Dialogue.free(Schema.Int) },
    Thrown: { code: Dialogue.free(Schema.Literals(["ticket", "token"])) }
  },
  wire: Wire.json(),
  live: Codec.lines(),
  start: "door",
  states: {
    door: Dialogue.client({ Join: "answer" }),
    answer: Dialogue.server({
      Joined: Dialogue.ready,
      Full: Dialogue.refused({ retryAfterField: "seconds" }),
      Thrown: Dialogue.refused({ retryable: false, codeField: "code" })
    })
  }
}) {}

const denied = new HandshakeError.AuthenticationFailed({ method: "ticket", detail: "it is another one", fault: "peer" })

interface Joining {
  readonly room: string
  readonly ticket: { readonly seat: number; readonly code: string }
  readonly token: Redacted.Redacted<string>
}

const isRight = ({ room, ticket, token }: Joining): boolean =>
  room === "red" && ticket.seat === 7 && ticket.code === "c7" && Redacted.value(token) === "tok-4711-abcd"

export const server = (
  { forgets = false, isLetIn = isRight, room = (joining) => joining.room }: {
    readonly isLetIn?: (joining: Joining) => boolean
    readonly room?: (joining: Joining) => string
    readonly forgets?: boolean
  } = {}
) =>
  Room.server((door) =>
    Effect.gen(function*() {
      const { message, then: answer } = yield* door.receive
      if (isLetIn(message)) return yield* answer.say("Joined", { room: room(message), others: ["bob"] })
      if (forgets) return yield* Effect.fail(denied)
      return yield* answer.refuse("Thrown", { code: "ticket" }, denied)
    })
  )

export const client = (looks = true) =>
  Room.client((door) =>
    Effect.gen(function*() {
      const answer = yield* door.say("Join", {
        room: "red",
        ticket: { seat: 7, code: "c7" },
        token: Redacted.make("tok-4711-abcd"),
        age: 40
      })
      const { message: { room }, then } = yield* answer.receive
      if (looks && room !== "red") {
        return yield* Effect.fail(new HandshakeError.InvalidGreeting({ expected: "red", received: room }))
      }
      return then
    })
  )
