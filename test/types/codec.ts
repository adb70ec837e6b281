/**
 * What the combinators of `Codec` make of the frames.
 */
// Nothing here runs, and much of it must not compile.
// @effect-diagnostics floatingEffect:off
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import * as Codec from "../../src/Codec.ts"
import * as Middleware from "../../src/Middleware.ts"
import * as Transport from "../../src/Transport.ts"
import type { TransportError } from "../../src/TransportError.ts"
import { same } from "./same.ts"

const lines = Codec.lines()
same<typeof lines, Codec.Codec<string, string>>()
same<typeof Codec.bytes, Codec.Codec<Uint8Array, Uint8Array>>()

const lengths = lines.pipe(Codec.map({ decode: (line) => line.length, encode: (n: number) => "x".repeat(n) }))
same<typeof lengths, Codec.Codec<number, number>>()

const lengthsFirst = Codec.map(lines, { decode: (line) => line.length, encode: (n: number) => "x".repeat(n) })
same<typeof lengthsFirst, Codec.Codec<number, number>>()

const asymmetric = Codec.mapOrFail(lines, {
  decode: (line) => {
    same<typeof line, string>()
    return line === "" ? Result.fail("empty") : Result.succeed(line.length)
  },
  encode: (flag: boolean) => Result.succeed(flag ? "yes" : "no")
})
same<typeof asymmetric, Codec.Codec<number, boolean>>()

const asymmetricLast = lines.pipe(Codec.mapOrFail({
  decode: (line) => line === "" ? Result.fail("empty") : Result.succeed(line.length),
  encode: (flag: boolean) => Result.succeed(flag ? "yes" : "no")
}))
same<typeof asymmetricLast, Codec.Codec<number, boolean>>()

const Order = Schema.fromJsonString(Schema.Struct({ id: Schema.String, at: Schema.DateFromString }))

const orders = Codec.schema(lines, Order)
same<
  typeof orders,
  Codec.Codec<{ readonly id: string; readonly at: Date }, { readonly id: string; readonly at: Date }>
>()

const ordersLast = lines.pipe(Codec.schema(Order))
same<typeof ordersLast, typeof orders>()

// @ts-expect-error: the schema's encoded side is no frame of bytes
Codec.schema(Codec.bytes, Order)

const both = Codec.duplex(Codec.lines(), Codec.bytes)
same<typeof both, Codec.Codec<string, Uint8Array>>()

const replies = lines.pipe(
  Codec.aggregate({
    isLast: (line, index) => {
      same<typeof line, string>()
      return line === "" || index === 9
    }
  })
)
same<
  typeof replies,
  Codec.Codec<readonly [string, ...Array<string>], readonly [string, ...Array<string>]>
>()
// @ts-expect-error: what is sent is not what is received, so it cannot be told which one is the last
Codec.aggregate(both, { isLast: () => true })

const pairs = Codec.gen<readonly [number, string], never>({
  decode: function*(read) {
    const length = yield* read.byte
    same<typeof length, number>()
    if (length === 0) return yield* read.fail("it is empty")
    return [length, yield* read.text(length)] as const
  },
  encode: () => {}
})
same<typeof pairs, Codec.Codec<readonly [number, string], never>>()

Codec.gen<number, never>({
  // @ts-expect-error: `yield*`, and not `yield`
  decode: function*(read) {
    yield read.byte
    return 1
  },
  encode: () => {}
})

const decoded = Codec.decodeAll(both, new Uint8Array())
same<typeof decoded, Array<string>>()

Codec.encodeAll(both, [Uint8Array.of(1)])
// @ts-expect-error: what is received is not what is sent
Codec.encodeAll(both, ["a"])

// A codec may receive less than is said of it, and send more.
const wider: Codec.Codec<string | number, "a"> = lines
same<typeof wider, Codec.Codec<string | number, "a">>()
// @ts-expect-error: it sends no numbers
const _narrower: Codec.Codec<string, number> = lines

// One with a memory is sent with an encoder of its own for each connection.
const numbered = Codec.make<string, number>({
  decoder: lines.decoder,
  encoder: () => ({ encode: (n, into) => into.uint(n, 1, "big"), checkpoint: () => () => {} })
})
same<typeof numbered, Codec.Codec<string, number>>()
const again = Codec.make({ ...lines, encodeMany: undefined })
same<typeof again, Codec.Codec<string, string>>()
// @ts-expect-error: nothing is sent
Codec.make<string>({ decoder: lines.decoder })
// @ts-expect-error: what was not sent could not be undone
Codec.make<string, number>({ decoder: lines.decoder, encoder: () => ({ encode: () => {} }) })

declare const transport: Transport.Transport<string, Uint8Array>
same<typeof transport.receive, Effect.Effect<string, TransportError>>()
same<typeof transport.incoming, Stream.Stream<string, TransportError>>()
same<typeof transport.outgoing, Sink.Sink<void, Uint8Array, never, TransportError>>()
same<Transport.Transport.In<typeof transport>, string>()
same<Transport.Transport.Out<typeof transport>, Uint8Array>()

// @ts-expect-error: what is received is not what is sent
transport.send("a")
Transport.show(transport, "a")
Transport.show(transport, Uint8Array.of(1))
// @ts-expect-error: neither of the two
Transport.show(transport, 1)

const framed = Transport.framed(both, {
  describe: (frame) => {
    same<typeof frame, string | Uint8Array>()
    return "a frame"
  }
})
same<Effect.Success<typeof framed>, Transport.Transport<string, Uint8Array>>()

const watched = Effect.flatMap(
  framed,
  Middleware.make((link) => {
    // @ts-expect-error: what is received is not what is sent
    link.say("a")
    return {
      decide: (line) => {
        same<typeof line, string>()
        return [Uint8Array.of(1)]
      }
    }
  })
)
same<Effect.Success<typeof watched>, Transport.Transport<string, Uint8Array>>()
