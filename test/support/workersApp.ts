/**
 * A program of which `Workers.make` makes workers: a line server, or one that ends at once with a code.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Workers from "../../src/node/Workers.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Server from "../../src/Server.ts"

const [what, code] = process.argv.slice(2)
if (what === "die") process.exit(Number(code))

const { number, count } = Workers.worker!
const inherited = process.env["EFFECT_HANDSHAKE_WORKER"]

NodeRuntime.runMain(Layer.launch(
  Workers.layerCounts.pipe(
    Layer.provide(Server.layer({
      protocol: Line.protocol,
      // What a worker knows of itself.
      serve: Pipeline.serve(() =>
        Effect.succeed(`${number} of ${count}, ${process.pid}, ${Workers.share(5)}, ${inherited}`)
      )
    })),
    Layer.provide(Workers.layerServer({ host: "127.0.0.1", port: 0 }))
  )
))
