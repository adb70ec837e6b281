/**
 * What the compiler says of a client that is made of a connection's: what `client` makes is what the options behind it get.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Client from "../../src/Client.ts"
import * as Codec from "../../src/Codec.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Transport from "../../src/Transport.ts"
import type { TransportError } from "../../src/TransportError.ts"
import { same } from "./same.ts"

const handshake = Transport.framed(Codec.lines())

/** A client with a call of its own: numbers, and an error. */
const numbers = (transport: Transport.Transport<string, string>) =>
  Effect.map(
    Pipeline.client(transport, {
      response: (line) => line === "?" ? Result.fail("no number" as const) : Result.succeed(Number(line))
    }),
    ({ awaitEnd, call }) => ({ awaitEnd, call: (n: number) => call(`${n}`), hello: call("hello") })
  )

const again = Client.reconnecting({
  handshake,
  client: (transport) => numbers(transport),
  onConnect: ({ hello }) => hello,
  idempotent: (n) => n > 0
})

const pool = Client.pool({
  handshake,
  client: (transport) => numbers(transport),
  check: ({ call }) => call(1),
  onConnect: ({ hello }) => hello,
  idempotent: (n) => n > 0
})

type Needed = Scope.Scope | Socket.Socket
type Call = Effect.Effect<number, "no number" | TransportError>

same<Effect.Services<typeof again>, Needed>()
same<Effect.Services<typeof pool>, Needed>()

declare const one: Effect.Success<typeof again>
declare const many: Effect.Success<typeof pool>
const once = () => one.call(1, { idempotent: true })
const onAny = () => many.call(1, { idempotent: true })
same<ReturnType<typeof once>, Call>()
same<ReturnType<typeof onAny>, Call>()

// Where addresses are given, no Socket of the context is needed, but what asks for them may need something.
declare const asked: Effect.Effect<ReadonlyArray<string>, "gone", Registry>
declare const dial: (address: string) => Effect.Effect<Socket.Socket>
interface Registry {
  readonly registry: true
}
const found = Client.pool({ handshake, addresses: asked, dial, while: (error) => error !== "gone" })
same<Effect.Services<typeof found>, Scope.Scope | Registry>()

// A client of calls in order is what it is without `client`, and no other.
const plain = Client.pool({ handshake })
same<Effect.Success<typeof plain>, Client.Pooled<Client.Of<Transport.Transport<string, string>>>>()

// @ts-expect-error: what has no end of its own is no client of a connection.
void Client.pool({ handshake, client: () => Effect.succeed({ call: () => Effect.void }) })
