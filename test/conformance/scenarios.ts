/**
 * What sockets do. Each scenario notes what it sees; every stack has to see the same.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type { End, Stack, World } from "./ends.ts"

export interface Scenario {
  readonly name: string
  readonly run: (world: World) => Effect.Effect<void, unknown, Scope.Scope>
  /** Why this stack is not compared. It has to be different indeed. */
  readonly differs?: ((stack: Stack) => string | undefined) | undefined
}

/** More than all the buffers of two systems hold. */
const more = 8_000_000
/** More than Node reads ahead and less than two systems hold. */
const much = 300_000

const isNet = (stack: Stack) => stack.name === "this package's Net"
const isNode = (stack: Stack, halfOpen: boolean) => stack.name.startsWith("Effect's") && stack.halfOpen === halfOpen

/** A scenario of a connection that is open at both ends. */
const between = (
  name: string,
  run: (client: End, server: End, world: World) => Effect.Effect<unknown, unknown, Scope.Scope>
): Scenario => ({
  name,
  run: (world) => Effect.flatMap(world.connected, ([client, server]) => Effect.asVoid(run(client, server, world)))
})

export const scenarios: ReadonlyArray<Scenario> = [
  between("what has arrived comes in one pull, as one chunk", (client, server) =>
    Effect.gen(function*() {
      yield* client.write("one")
      yield* client.writeAll("two", "three")
      yield* server.pull
      yield* server.pull
    })),

  between("a pull waits, and loses nothing where it is interrupted", (client, server) =>
    Effect.gen(function*() {
      const pulling = yield* server.pull
      yield* pulling.interrupt
      yield* client.write("abc")
      yield* server.pull
    })),

  between("of two pulls at once the older never hears again", (client, server) =>
    Effect.gen(function*() {
      const older = yield* server.pull
      const newer = yield* server.pull
      yield* client.write("abc")
      yield* newer.look
      yield* client.end
      yield* older.look
      yield* server.pull
      yield* older.look
    })),

  between(
    "the end comes behind the bytes, as a close error, and each time again",
    (client, server) =>
      Effect.gen(function*() {
        yield* client.write("abc")
        yield* client.end
        yield* server.pull
        yield* server.pull
        yield* server.pull
      })
  ),

  between("who is half-open still answers when the peer has ended", (client, server) =>
    Effect.gen(function*() {
      yield* client.end
      yield* server.pull
      yield* server.write("answer")
      yield* client.pull
      yield* server.write("again")
      yield* client.pull
    })),

  between("the peer's end counts when all before it was pulled", (client, server) =>
    Effect.gen(function*() {
      yield* client.write("abc")
      yield* client.end
      yield* server.write("before")
      yield* client.pull
      yield* server.pull
      yield* server.write("behind")
      yield* client.pull
    })),

  between("when both have ended, writes wait for ever", (client, server) =>
    Effect.gen(function*() {
      yield* client.end
      yield* server.pull
      yield* server.end
      yield* client.pull
      yield* server.write("x")
      yield* client.write("y")
      yield* server.pull
      yield* client.pull
    })),

  between("a write behind the own end fails, and destroys the connection", (client, server) =>
    Effect.gen(function*() {
      yield* server.write("for the client")
      yield* client.end
      yield* client.write("late")
      yield* client.pull
      yield* client.write("later")
      yield* server.pull
      yield* server.write("x")
      yield* server.write("y")
      yield* server.write("z")
      yield* server.pull
    })),

  between("a write behind the own end fails the pull that waits", (client, server) =>
    Effect.gen(function*() {
      const pulling = yield* client.pull
      yield* client.end
      yield* client.write("late")
      yield* pulling.look
      yield* client.pull
      yield* server.pull
    })),

  between("an empty write is none, and fails where a write would", (client, server) =>
    Effect.gen(function*() {
      const pulling = yield* server.pull
      yield* client.write("")
      yield* pulling.look
      yield* client.end
      yield* client.write("")
    })),

  between(
    "once the reader is closed, pulls fail, those that wait as well, and writes wait",
    (_client, server) =>
      Effect.gen(function*() {
        const pulling = yield* server.pull
        yield* server.close
        yield* pulling.look
        yield* server.pull
        yield* server.write("x")
      })
  ),

  between(
    "closing says the last words, and the peer learns from its second write that nobody hears it",
    (client, server) =>
      Effect.gen(function*() {
        yield* server.write("bye")
        yield* server.close
        yield* client.pull
        yield* client.pull
        yield* client.write("one")
        yield* client.write("two")
        yield* client.write("three")
        yield* client.pull
      })
  ),

  between(
    "closing flushes what waits to be sent, and then fails the write",
    (client, server) =>
      Effect.gen(function*() {
        const writing = yield* server.write(more)
        yield* server.close
        yield* writing.look
        yield* client.pullToEnd(more)
        yield* writing.look
      })
  ),

  between("closing with something unread is an end in order", (client, server) =>
    Effect.gen(function*() {
      yield* client.write("unread")
      yield* server.write("bye")
      yield* server.close
      yield* client.pull
      yield* client.pull
      yield* client.write("one")
      yield* client.write("two")
    })),

  between(
    "closing with much unread is an end in order, but the peer's first write fails",
    (client, server) =>
      Effect.gen(function*() {
        yield* client.write(much)
        yield* server.write("bye")
        yield* server.close
        yield* client.pull
        yield* client.pull
        yield* client.write("one")
        yield* client.write("two")
        yield* client.pull
      })
  ),

  between(
    "what comes after the close destroys the last words, at the peer's second write",
    (client, server) =>
      Effect.gen(function*() {
        yield* server.write("bye")
        yield* server.close
        yield* client.write("one")
        yield* client.write("two")
        yield* client.pull
        yield* client.pull
        yield* client.write("three")
      })
  ),

  between(
    "what comes after the close destroys nothing where the peer then pulls",
    (client, server) =>
      Effect.gen(function*() {
        yield* server.write("bye")
        yield* server.close
        yield* client.write("one")
        yield* client.pull
        yield* client.pull
        yield* client.write("two")
        yield* client.pull
      })
  ),

  between("a peer that closes fails the write that waits for it", (client, server) =>
    Effect.gen(function*() {
      const writing = yield* server.write(more)
      yield* client.close
      yield* writing.look
      yield* server.pull
      yield* server.write("x")
    })),

  between("a peer that ends takes what waits for it", (client, server) =>
    Effect.gen(function*() {
      const writing = yield* server.write(more)
      yield* client.end
      yield* server.pull
      yield* writing.look
      yield* client.pullAll(more)
      yield* writing.look
    })),

  between(
    "a write that waits while the own side ends hears nothing before the connection is closed",
    (client, server) =>
      Effect.gen(function*() {
        const writing = yield* server.write(more)
        yield* server.end
        yield* client.pullToEnd(more)
        yield* writing.look
        yield* client.end
        yield* server.pull
        yield* writing.look
      })
  ),

  between("a full connection makes its writer wait until all is taken", (client, server) =>
    Effect.gen(function*() {
      const writing = yield* client.write(more)
      yield* server.pullAll(more)
      yield* writing.look
      yield* client.write("more")
    })),

  between("an interrupted write is written all the same", (client, server) =>
    Effect.gen(function*() {
      const writing = yield* client.write(more)
      yield* writing.interrupt
      yield* client.end
      yield* server.pullToEnd(more)
    })),

  between(
    "a close event destroys the connection, and leaves what has arrived",
    (client, server) =>
      Effect.gen(function*() {
        yield* server.write("for the client")
        yield* client.write("for the server")
        yield* client.closeEvent(1000)
        yield* client.pull
        yield* client.pull
        yield* client.write("x")
        yield* server.pull
        yield* server.pull
        yield* server.write("one")
        yield* server.write("two")
      })
  ),

  between(
    "a close event of an error leaves nothing, and is an end in order for the peer",
    (client, server) =>
      Effect.gen(function*() {
        yield* server.write("for the client")
        yield* client.write("for the server")
        yield* client.closeEvent(1001)
        yield* client.pull
        yield* client.write("x")
        yield* server.pull
        yield* server.pull
      })
  ),

  between("an end that was pulled stays one, whatever comes behind it", (client, server) =>
    Effect.gen(function*() {
      yield* server.end
      yield* client.pull
      yield* client.closeEvent(1001)
      yield* client.pull
    })),

  between("a close event fails the pull that waits", (client, server) =>
    Effect.gen(function*() {
      const pulling = yield* client.pull
      yield* client.closeEvent(1001)
      yield* pulling.look
      const other = yield* server.pull
      yield* other.look
    })),

  between("a close event fails the write that waits, and its rest is lost", (client, server) =>
    Effect.gen(function*() {
      const writing = yield* client.write(more)
      yield* client.closeEvent(1000)
      yield* writing.look
      yield* server.pullToEnd(more)
    })),

  between("a reset destroys what was not pulled", (client, server) =>
    Effect.gen(function*() {
      yield* server.write(much)
      yield* client.write("for the server")
      // To destroy a connection with much unread resets it.
      yield* client.closeEvent(1000)
      yield* server.pull
      yield* server.pull
      yield* server.write("x")
    })),

  between("a reset fails those who wait", (client, server) =>
    Effect.gen(function*() {
      const pulling = yield* server.pull
      const writing = yield* server.write(more)
      yield* client.closeEvent(1000)
      yield* pulling.look
      yield* writing.look
      yield* server.pull
      yield* server.write("x")
    })),

  {
    name: "writes wait until the reader is acquired, at both ends",
    run: (world) =>
      Effect.gen(function*() {
        yield* world.run
        const early = yield* world.client.write("early")
        yield* world.client.open
        yield* early.look
        const server = yield* world.accept()
        const answer = yield* server.write("answer")
        yield* server.open
        yield* answer.look
        yield* server.pull
        yield* world.client.pull
      })
  },

  {
    name: "each acquisition of the reader dials anew, and the writer goes with it",
    run: (world) =>
      Effect.gen(function*() {
        yield* world.run
        yield* world.client.open
        yield* world.client.write("one")
        const first = yield* world.accept("first")
        yield* first.open
        yield* first.pull
        yield* world.client.close
        const between = yield* world.client.write("two")
        yield* world.client.open
        yield* between.look
        const second = yield* world.accept("second")
        yield* second.open
        yield* second.pull
        yield* first.pull
      })
  },

  {
    name: "what is written goes to the connection that was dialled last, and waits once that is closed",
    run: (world) =>
      Effect.gen(function*() {
        yield* world.run
        yield* world.client.open
        const first = yield* world.accept("first")
        yield* first.open
        const again = world.again("client again")
        yield* again.open
        const second = yield* world.accept("second")
        yield* second.open
        yield* world.client.write("abc")
        yield* second.pull
        yield* again.close
        yield* world.client.write("def")
        yield* first.pull
      })
  },

  {
    name: "a reader that was closed cannot be acquired again by the server",
    run: (world) =>
      Effect.gen(function*() {
        yield* world.run
        yield* world.client.open
        const server = yield* world.accept()
        yield* server.open
        yield* server.close
        yield* server.open
        yield* server.write("x")
      }),
    differs: (stack) => isNet(stack) ? "it is acquired, and its pulls fail" : undefined
  },

  {
    name: "to dial where nobody listens fails",
    run: (world) => world.nowhere.open
  },

  {
    name: "connections wait for the server to run, with what they say",
    run: (world) =>
      Effect.gen(function*() {
        yield* world.client.open
        yield* world.client.write("early")
        yield* world.client.end
        yield* world.run
        const server = yield* world.accept()
        yield* server.open
        yield* server.pull
        yield* server.pull
      })
  },

  {
    name: "who comes and goes before the server runs is forgotten, once both sides have ended",
    run: (world) =>
      Effect.gen(function*() {
        yield* world.client.open
        yield* world.client.close
        yield* world.run
        yield* world.notesAccepted
      })
  },

  {
    name: "what was said and ended before the server opens is all there",
    run: (world) =>
      Effect.gen(function*() {
        yield* world.run
        yield* world.client.open
        yield* world.client.write("abc")
        yield* world.client.close
        const server = yield* world.accept()
        yield* server.open
        yield* server.pull
        yield* server.pull
        yield* server.write("one")
        yield* server.write("two")
      })
  },

  {
    name: "an end before the server opens is seen by its first pull, or is all there was",
    run: (world) =>
      Effect.gen(function*() {
        yield* world.run
        yield* world.client.open
        yield* world.client.end
        const server = yield* world.accept()
        yield* server.open
        if (world.halfOpen) yield* server.pull
      }),
    differs: (stack) =>
      isNode(stack, true)
        ? "Node has told the end before there was a reader to hear it: the pull waits for ever"
        : undefined
  },

  {
    name:
      "interrupting the server's run interrupts its handlers and waits for them, and who comes then waits for the next",
    run: (world) =>
      Effect.gen(function*() {
        const { notes } = world
        const handler = (name: string) => (socket: Socket.Socket) =>
          Effect.scoped(Effect.gen(function*() {
            const { pull } = yield* socket.reader
            // It takes its time.
            yield* Effect.addFinalizer(() =>
              Effect.andThen(world.settled, Effect.sync(() => notes.add(`${name} is interrupted`)))
            )
            notes.add(`${name} runs`)
            yield* pull
            notes.add(`${name} has heard something`)
            return yield* Effect.never
          }))
        const first = yield* Effect.forkScoped(world.server.run(handler("the first")))
        yield* world.settled
        yield* world.client.open
        yield* notes.attempt("interrupting", Fiber.interrupt(first))
        yield* world.settled
        yield* world.client.pull
        const again = world.again("client again")
        yield* again.open
        yield* again.write("hello")
        yield* Effect.forkScoped(world.server.run(handler("the second")))
        yield* world.settled
        yield* again.close
      })
  },

  {
    name: "a handler that ends without having acquired the reader leaves the connection open",
    run: (world) =>
      Effect.gen(function*() {
        yield* Effect.forkScoped(world.server.run(() => Effect.void), { startImmediately: true })
        yield* world.settled
        yield* world.client.open
        yield* world.client.write("one")
        yield* world.client.write("two")
        yield* world.client.pull
      }),
    differs: (stack) => isNet(stack) ? "it closes what its handlers have never opened" : undefined
  }
]
