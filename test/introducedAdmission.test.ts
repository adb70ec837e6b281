/**
 * Who comes in, asked again when a handshake has learnt who its peer is: behind a proxy, and by the user of a login.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Admission from "../src/Admission.ts"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Http2 from "../src/protocols/Http2.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Postgres from "../src/protocols/Postgres.ts"
import * as Proxy from "../src/protocols/Proxy.ts"
import * as Server from "../src/Server.ts"
import * as Transport from "../src/Transport.ts"
import * as Crypto from "./protocols/postgres/crypto.ts"
import * as Addressed from "./support/addressed.ts"
import { rawPeer, utf8 } from "./support/conversation.ts"
import { echo, settled } from "./support/serving.ts"

const hello = "You ready?\n"
const welcome = "Bring it!\n"
const refusal = "No! Go away!\n"

const balancer = "10.0.0.1"
const from = (ip: string) => `PROXY TCP4 ${ip} 192.0.2.250 1024 443\r\n`

/** A server whose peers are whoever it dials from, and what they say first. */
const serving = Effect.fnUntraced(function*<R>(
  handshake: Effect.Effect<Transport.Transport<string, string>, unknown, R>,
  options: Admission.Options,
  limits: Server.Limits = {}
) {
  const network = yield* Addressed.network
  const server = yield* Server.make({ ...limits, handshake, serve: echo, admission: Admission.make(options) }).pipe(
    Effect.provideService(SocketServer.SocketServer, network.server)
  )
  const events: Array<Server.Event> = []
  yield* Effect.forkScoped(Stream.runForEach(server.events, (event) => Effect.sync(() => events.push(event))))
  yield* settled
  const saying = Effect.fnUntraced(function*(ip: string, said: string) {
    const peer = yield* rawPeer(yield* network.dial(ip))
    yield* peer.write(utf8(said))
    yield* settled
    return peer
  })
  return { server, events, saying }
})

const behind = Proxy.server({ trust: ["10.0.0.0/8"] })

const proxied = (bounds: Admission.Bounds, options: Partial<Admission.Options> = {}, limits: Server.Limits = {}) =>
  serving(behind(Line.server), { limits: [Admission.byAddress(bounds)], pass: [balancer], ...options }, limits)

describe("behind a proxy", () => {
  it.effect("the address of the header is judged, and denied in the words of what is inside", () =>
    Effect.gen(function*() {
      const { events, saying, server } = yield* proxied({ atOnce: 1 })
      const first = yield* saying(balancer, from("192.0.2.1") + hello)
      const second = yield* saying(balancer, from("192.0.2.1") + hello)
      expect([first.heard(), second.heard()]).toEqual([welcome, refusal])
      expect((yield* saying(balancer, from("192.0.2.2") + hello)).heard()).toBe(welcome)
      yield* second.end
      yield* second.closed
      yield* settled
      expect((yield* server.counts).connections).toBe(2)
      const refused = events.filter(({ _tag }) => _tag === "Refused")
      expect(refused).toMatchObject([{
        peer: { remote: Addressed.peerAt("192.0.2.1").remote },
        error: { protocol: "line", step: "PROXY header", reason: { said: "at capacity (limit address)" } }
      }])
    }))

  it.effect("a place is given back at the end of its connection", () =>
    Effect.gen(function*() {
      const { saying } = yield* proxied({ atOnce: 1 })
      const first = yield* saying(balancer, from("192.0.2.1") + hello)
      yield* first.end
      yield* first.closed
      yield* settled
      expect((yield* saying(balancer, from("192.0.2.1") + hello)).heard()).toBe(welcome)
    }))

  it.effect("failures count for the address of the header", () =>
    Effect.gen(function*() {
      const { saying } = yield* proxied({ failures: { limit: 1, window: "1 minute" } })
      yield* saying(balancer, from("192.0.2.1") + "Hi there\n")
      expect((yield* saying(balancer, from("192.0.2.1") + hello)).heard()).toBe(refusal)
      expect((yield* saying(balancer, from("192.0.2.2") + hello)).heard()).toBe(welcome)
    }))

  it.effect("the handshake inside does not begin for who is denied, nor is it told twice in a second", () =>
    Effect.gen(function*() {
      let begun = 0
      const inside = Handshake.withRefusal(
        Effect.andThen(Effect.sync(() => begun++), Line.server),
        () => Handshake.refuse(Transport.framed(Codec.lines()), "full")
      )
      const { saying } = yield* serving(behind(inside), {
        limits: [Admission.byAddress({ connections: { limit: 1, window: "1 minute" } })],
        pass: [balancer]
      })
      const heard = []
      for (let i = 0; i < 3; i++) {
        const peer = yield* saying(balancer, from("192.0.2.1") + hello)
        yield* peer.end
        yield* peer.closed
        heard.push(peer.heard())
      }
      expect([heard, begun]).toEqual([[welcome, "full\n", ""], 1])
    }))

  it.effect("the balancer's own address is judged until then where it does not always pass, and given back", () =>
    Effect.gen(function*() {
      const { saying } = yield* proxied({ atOnce: 1 }, { pass: [] })
      const waiting = yield* saying(balancer, "PROXY ")
      expect((yield* saying(balancer, from("192.0.2.1") + hello)).heard()).toBe(refusal)
      yield* waiting.write(utf8(from("192.0.2.1").slice(6) + hello))
      yield* settled
      expect(waiting.heard()).toBe(welcome)
      expect((yield* saying(balancer, from("192.0.2.2") + hello)).heard()).toBe(welcome)
    }))

  it.effect("an introduced address that always passes counts nowhere", () =>
    Effect.gen(function*() {
      const { saying } = yield* proxied({ atOnce: 1 }, { pass: [balancer, "192.0.2.1"] })
      for (let i = 0; i < 2; i++) {
        expect((yield* saying(balancer, from("192.0.2.1") + hello)).heard()).toBe(welcome)
      }
    }))

  it.effect("who is denied waits for its refusal as long as it is said", () =>
    Effect.gen(function*() {
      const { saying } = yield* proxied({ atOnce: 1 }, { delay: "3 seconds" })
      yield* saying(balancer, from("192.0.2.1") + hello)
      const second = yield* saying(balancer, from("192.0.2.1") + hello)
      yield* TestClock.adjust("2998 millis")
      expect(second.heard()).toBe("")
      yield* TestClock.adjust("1 millis")
      expect(second.heard()).toBe(refusal)
    }))

  it.effect("a deadline that strikes while the header is awaited is of the protocol inside, in its words", () =>
    Effect.gen(function*() {
      const { events, saying } = yield* proxied({ atOnce: 9 }, {}, { handshakeTimeout: "2 seconds" })
      const peer = yield* saying(balancer, "PROXY TC")
      yield* TestClock.adjust("2 seconds")
      expect(peer.heard()).toBe(refusal)
      yield* peer.end
      yield* settled
      expect(events.filter(({ _tag }) => _tag === "Refused")).toMatchObject([{
        error: { protocol: "line", step: "PROXY header", reason: { _tag: "Timeout" } }
      }])
    }))

  it.effect("HTTP/2 says when to come again", () =>
    Effect.gen(function*() {
      const network = yield* Addressed.network
      yield* Server.make({
        handshake: behind(Http2.server()),
        serve: () => Effect.never,
        admission: Admission.make({
          limits: [Admission.byAddress({ connections: { limit: 1, window: "30 seconds" } })],
          pass: [balancer]
        })
      }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
      yield* settled
      for (let i = 0; i < 2; i++) {
        const peer = yield* rawPeer(yield* network.dial(balancer))
        yield* peer.write(utf8(from("192.0.2.1")))
        yield* settled
        if (i === 1) expect(peer.heard()).toContain("too often, try again in 30 s")
      }
    }))
})

describe("a user of a login", () => {
  it.effect("has no more than so many connections, and is told so in the words of PostgreSQL", () =>
    Effect.gen(function*() {
      const network = yield* Addressed.network
      yield* Server.make({
        handshake: Postgres.server(),
        serve: ({ receive }: Postgres.ServerTransport) => Effect.ignore(Effect.forever(receive)),
        admission: Admission.make({ limits: [Admission.byKey("user", ({ user }) => user, { atOnce: 2 })] })
      }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server),
        Effect.provide(Postgres.layerTrust)
      )
      yield* settled
      const login = Effect.fnUntraced(function*(ip: string, user: string) {
        const client = Postgres.client({ user, password: Redacted.make("secret"), sslmode: "disable" })
        return yield* Effect.provideService(client, Socket.Socket, yield* network.dial(ip))
      })
      yield* login("192.0.2.1", "ann")
      yield* login("192.0.2.2", "ann")
      const error = yield* Effect.flip(login("192.0.2.3", "ann"))
      expect(error.message).toContain("too many")
      yield* login("192.0.2.3", "bob")
    }).pipe(Effect.provide(Crypto.layer)))
})

it.effect("who is introduced in service and denied is closed", () =>
  Effect.gen(function*() {
    const network = yield* Addressed.network
    const server = yield* Server.make({
      protocol: Line.protocol,
      serve: (transport) =>
        Pipeline.serve<string, string>((user) => Effect.as(Handshake.introduce(transport, { user }), `hello ${user}`))(
          transport
        ),
      admission: Admission.make({ limits: [Admission.byKey("user", ({ user }) => user, { atOnce: 1 })] })
    }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
    yield* settled
    const saying = Effect.fnUntraced(function*(user: string) {
      const peer = yield* rawPeer(yield* network.dial("192.0.2.1"))
      yield* peer.write(utf8(`${hello}${user}\n`))
      yield* settled
      return peer
    })
    const ann = yield* saying("ann")
    expect(ann.heard()).toBe(`${welcome}hello ann\n`)
    const other = yield* saying("ann")
    yield* other.end
    yield* other.closed
    yield* settled
    expect(other.heard()).toBe(welcome)
    expect((yield* server.counts).connections).toBe(1)
  }))
