/**
 * `serve --watch`: what a server does, live in the terminal. What is shown is in `watched`; here it is drawn, on the terminal's other
 * screen, so that the first one is as it was when this is over.
 *
 * @internal
 */
import { TerminalCapabilities } from "effect/cli"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Terminal from "effect/Terminal"
import * as Monotonic from "../internal/connection/monotonic.ts"
import type * as Server from "../Server.ts"
import * as Watched from "./watched.ts"

/** Between two drawings. */
const interval = "250 millis"

// Control sequences of xterm, which everybody has.
const enter = "\x1b[?1049h\x1b[?25l"
const leave = "\x1b[?25h\x1b[?1049l"
const home = "\x1b[H"
const clearLine = "\x1b[K"
const clearBelow = "\x1b[J"

/** All lines over those of before. No line feed behind the last one: it would scroll a screen that is full. */
const drawing = (lines: ReadonlyArray<string>): string =>
  home + lines.map((line) => line + clearLine).join("\n") + clearBelow

/** Whatever ends the process, the terminal has its cursor back. */
const screen = Effect.acquireRelease(
  Effect.gen(function*() {
    const { display } = yield* Terminal.Terminal
    const onExit = () => process.stdout.write(leave)
    process.once("exit", onExit)
    yield* Effect.ignore(display(enter))
    return { display, onExit }
  }),
  ({ display, onExit }) =>
    Effect.andThen(Effect.ignore(display(leave)), Effect.sync(() => process.removeListener("exit", onExit)))
)

/**
 * Shows what a server does until the scope closes, and leaves the last of it in the terminal. Where there is no terminal it says so, and
 * that is all.
 */
export const watch = (
  server: Server.Server["Service"],
  title: string
): Effect.Effect<void, never, Terminal.Terminal | Scope.Scope> =>
  Effect.gen(function*() {
    const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
    if (!canAnimate) return yield* Console.error("--watch needs a terminal: serving without it")
    const { columns, display, rows } = yield* Terminal.Terminal
    const clock = yield* Clock.Clock
    const now = () => Monotonic.millisOf(clock)
    const seen = Watched.nothing(now())
    const lines = Effect.map(server.counts, (counts) => Watched.view(seen, title, counts, now()))
    // Behind the screen: it comes after the terminal is as it was.
    yield* Effect.addFinalizer(() =>
      Effect.flatMap(lines, (lines) => Effect.ignore(display(lines.slice(2).join("\n") + "\n")))
    )
    yield* screen
    yield* server.events.pipe(
      Stream.runForEach((event) => Effect.sync(() => Watched.take(seen, event, now()))),
      Effect.forkScoped({ startImmediately: true })
    )
    const draw = Effect.gen(function*() {
      const fitting = Watched.fit(yield* lines, yield* columns, yield* rows)
      yield* Effect.ignore(display(drawing(fitting)))
    })
    yield* Effect.forkScoped(Effect.repeat(draw, Schedule.spaced(interval)))
  })
