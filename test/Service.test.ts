import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { pipe } from "effect/Function"
import * as Semaphore from "effect/Semaphore"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Service from "../src/Service.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import { rawPeer, utf8 } from "./support/conversation.ts"
import { settled } from "./support/serving.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly what: string }> {}
class Broken extends Data.TaggedError("Broken")<{}> {}

/** What a peer hears that sends these lines to a server with this handler, and how the server has ended. */
const conversation = Effect.fnUntraced(function*<E>(handler: Service.Service<string, string, E>, lines: string) {
  const [here, there] = yield* MemorySocket.pair()
  const peer = yield* rawPeer(there)
  const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
  const serving = yield* Effect.forkChild(Effect.exit(Pipeline.serve(handler)(transport)))
  yield* Effect.andThen(peer.write(utf8(lines)), peer.end)
  const exit = yield* Fiber.join(serving)
  yield* settled
  return { heard: peer.heard(), exit }
})

const fallible = (line: string): Effect.Effect<string, Refused | Broken> =>
  line === "bad"
    ? Effect.fail(new Refused({ what: line }))
    : line === "broken"
    ? Effect.fail(new Broken())
    : Effect.succeed(line)

/** The same, and never at once. */
const later = (line: string) => Effect.andThen(Effect.yieldNow, fallible(line))

describe("catch", () => {
  for (const [name, handler] of Object.entries({ "at once": fallible, "later": later })) {
    it.effect(`makes a response of a failure that comes ${name}, and the connection goes on`, () =>
      Effect.gen(function*() {
        const { exit, heard } = yield* conversation(
          pipe(handler, Service.catch((error, line) => Effect.succeed(`ERR ${error._tag} ${line}`))),
          "one\nbad\nbroken\ntwo\n"
        )
        expect(heard).toBe("one\nERR Refused bad\nERR Broken broken\ntwo\n")
        expect(exit).toEqual(Exit.void)
      }))
  }

  it.effect("lets defects pass, also where something failed besides", () =>
    Effect.gen(function*() {
      const cause = Cause.combine(Cause.die(new Error("a bug")), Cause.fail(new Broken()))
      const handler = Service.catch((_: string): Effect.Effect<string, Broken> => Effect.failCause(cause), () =>
        Effect.succeed("answered"))
      expect(Exit.hasDies(yield* Effect.exit(handler("one")))).toBe(true)
    }))

  it.effect("what the answer fails with is the failure", () =>
    Effect.gen(function*() {
      const handler = pipe(fallible, Service.catch(() => Effect.fail("worse")))
      expect(yield* Effect.flip(handler("bad"))).toBe("worse")
    }))
})

describe("catchTag", () => {
  for (const [name, handler] of Object.entries({ "at once": fallible, "later": later })) {
    it.effect(`makes a response of its own failure that comes ${name}, and lets others end the connection`, () =>
      Effect.gen(function*() {
        const { exit, heard } = yield* conversation(
          pipe(handler, Service.catchTag("Refused", (error, line) => Effect.succeed(`no ${error.what} ${line}`))),
          "bad\nbroken\nnever\n"
        )
        expect(heard).toBe("no bad bad\n")
        expect(exit).toEqual(Exit.fail(new Broken()))
      }))
  }
})

describe("validateRequest", () => {
  it.effect("a request that is refused fails, and its handler is not called", () =>
    Effect.gen(function*() {
      const called: Array<string> = []
      const handler = pipe(
        (line: string) => {
          called.push(line)
          return Effect.succeed(line)
        },
        Service.validateRequest((line) => line.length > 3 ? `${line.length} is too long` : undefined)
      )
      expect(yield* handler("abc")).toBe("abc")
      expect(yield* Effect.flip(handler("abcd"))).toEqual(new Service.InvalidRequest({ problem: "4 is too long" }))
      expect(called).toEqual(["abc"])
    }))

  it.effect("left alone it ends the connection; as a response it does not", () =>
    Effect.gen(function*() {
      const checked = Service.validateRequest(
        (line: string) => Effect.succeed(line),
        (line) => line === "" ? "it is empty" : undefined
      )
      const alone = yield* conversation(checked, "one\n\ntwo\n")
      expect(alone).toEqual({ heard: "one\n", exit: Exit.fail(new Service.InvalidRequest({ problem: "it is empty" })) })
      const answered = yield* conversation(
        Service.catchTag(checked, "InvalidRequest", (error) => Effect.succeed(error.message)),
        "one\n\ntwo\n"
      )
      expect(answered).toEqual({ heard: "one\nthe request is invalid: it is empty\ntwo\n", exit: Exit.void })
    }))
})

describe("validateResponse", () => {
  for (const [name, handler] of Object.entries({ "at once": fallible, "later": later })) {
    it.effect(`a response that is refused is not sent, where it comes ${name}`, () =>
      Effect.gen(function*() {
        const checked = pipe(
          handler,
          Service.validateResponse((response, request) => response === "two" ? `not to ${request}` : undefined)
        )
        const { exit, heard } = yield* conversation(checked, "one\ntwo\nthree\n")
        expect(heard).toBe("one\n")
        expect(exit).toEqual(Exit.fail(new Service.InvalidResponse({ problem: "not to two" })))
        expect(yield* Effect.flip(checked("bad"))).toEqual(new Refused({ what: "bad" }))
      }))
  }
})

describe("timeout", () => {
  const slow = (line: string) => Effect.delay(Effect.succeed(line), Number(line))

  it.effect("a request that takes longer is interrupted and fails; one that just does not is answered", () =>
    Effect.gen(function*() {
      const handler = pipe(slow, Service.timeout("1 second"))
      const [quick, late] = [
        yield* Effect.forkChild(handler("999")),
        yield* Effect.forkChild(Effect.flip(handler("1001")))
      ]
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(quick)).toBe("999")
      expect(Cause.isTimeoutError(yield* Fiber.join(late))).toBe(true)
    }))

  it.effect("timeoutOrElse answers it, and interrupts the handler", () =>
    Effect.gen(function*() {
      let interrupted = false
      const handler = pipe(
        (line: string) => Effect.onInterrupt(slow(line), () => Effect.sync(() => interrupted = true)),
        Service.timeoutOrElse({ duration: "1 second", orElse: (line) => Effect.succeed(`too slow: ${line}`) })
      )
      const late = yield* Effect.forkChild(handler("1001"))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(late)).toBe("too slow: 1001")
      expect(interrupted).toBe(true)
    }))
})

describe("limit", () => {
  /** Two connections with one handler, each with four requests of a second; how many ran at once, and what was heard. */
  const shared = Effect.fnUntraced(function*(
    limited: (handler: Service.Service<string, string>) => Service.Service<string, string>
  ) {
    let running = 0
    let most = 0
    const handler = limited((line) =>
      Effect.acquireUseRelease(
        Effect.sync(() => most = Math.max(most, ++running)),
        () => Effect.delay(Effect.succeed(line), "1 second"),
        () => Effect.sync(() => running--)
      )
    )
    const talks = yield* Effect.forkChild(
      Effect.all([conversation(handler, "a\nb\nc\nd\n"), conversation(handler, "e\nf\ng\nh\n")], {
        concurrency: "unbounded"
      })
    )
    yield* Effect.repeat(TestClock.adjust("1 second"), { times: 8 })
    const [one, two] = yield* Fiber.join(talks)
    return { most, heard: [one.heard, two.heard] }
  })

  it.effect("bounds what all connections have running together; the rest waits", () =>
    Effect.gen(function*() {
      const { heard, most } = yield* shared(Service.limit(yield* Semaphore.make(3)))
      expect(most).toBe(3)
      expect(heard).toEqual(["a\nb\nc\nd\n", "e\nf\ng\nh\n"])
    }))

  it.effect("limitOrElse answers what has no room, without running it", () =>
    Effect.gen(function*() {
      const semaphore = yield* Semaphore.make(3)
      const { heard, most } = yield* shared(
        Service.limitOrElse({ semaphore, orElse: (line) => Effect.succeed(`busy ${line}`) })
      )
      expect(most).toBe(3)
      expect(heard.join("").split("\n").filter((line) => line.startsWith("busy")).length).toBe(5)
      expect(heard[0]).toBe("a\nb\nc\nbusy d\n")
    }))

  it.effect("a request that is interrupted gives its permit back", () =>
    Effect.gen(function*() {
      const semaphore = yield* Semaphore.make(1)
      const handler = Service.limit((line: string) => line === "stuck" ? Effect.never : later(line), semaphore)
      const stuck = yield* Effect.forkChild(handler("stuck"))
      yield* settled
      yield* Fiber.interrupt(stuck)
      expect(yield* handler("one")).toBe("one")
    }))
})

describe("a result that is already there", () => {
  const everything = Effect.map(Semaphore.make(1), (semaphore) =>
    pipe(
      fallible,
      Service.validateRequest(() => undefined),
      Service.validateResponse(() => undefined),
      Service.timeout("1 second"),
      Service.timeoutOrElse({ duration: "1 second", orElse: () => Effect.succeed("late") }),
      Service.limit(semaphore),
      Service.limitOrElse({ semaphore, orElse: () => Effect.succeed("busy") }),
      Service.catchTag("Refused", () => Effect.succeed("refused")),
      Service.catch(() => Effect.succeed("caught"))
    ))

  it.effect("stays an Exit through all of them, and needs no permit", () =>
    Effect.gen(function*() {
      const handler = yield* everything
      for (const [request, response] of [["one", "one"], ["bad", "refused"], ["broken", "caught"]]) {
        const effect = handler(request)
        expect(Exit.isExit(effect)).toBe(true)
        expect(yield* effect).toBe(response)
      }
    }))

  it("a request that is refused is an Exit too", () => {
    expect(Exit.isExit(Service.validateRequest(fallible, () => "no")("one"))).toBe(true)
    expect(Exit.isExit(Service.validateResponse(fallible, () => "no")("one"))).toBe(true)
  })
})
