/**
 * The process of those who are in no good order: `peers.ts PORT MIX SEED`. It says `storming` when all of them have begun, and
 * goes on until it is ended.
 */
import { connect, type Socket } from "node:net"
import * as Mixes from "./mixes.ts"

const [port, mix, seed] = process.argv.slice(2)
const random = Mixes.random(Number(seed))

const question = "You ready?\n"
const emptyLines = "\n".repeat(2 ** 20)
const lines = ["Is there anybody out there?\n".repeat(2000), "\n".repeat(65_536)]

/** So long one that is in no hurry stays, in milliseconds. */
const stay = 50

const peers: Record<Mixes.Mix, { readonly count: number; readonly begin: (socket: Socket) => void }> = {
  "empty-lines": {
    count: 50,
    begin: (socket) => {
      let missing = emptyLines.length + "Bring it!\n".length
      socket.on("data", (chunk) => {
        missing -= chunk.length
        if (missing <= 0) socket.destroy()
      })
      socket.write(question + emptyLines)
    }
  },
  "never-read": {
    count: 300,
    begin: (socket) => {
      const text = lines[random() < 0.5 ? 0 : 1]
      const send = () => {
        while (socket.write(text));
      }
      socket.pause().on("drain", send).write(question)
      send()
    }
  },
  silent: { count: 200, begin: (socket) => void socket.resume() },
  garbage: {
    count: 64,
    begin: (socket) => {
      const { bytes, goes } = Mixes.disorder(random)
      socket.resume().write(bytes, () => {
        if (goes === "ends") socket.end()
        else if (goes === "resets") socket.resetAndDestroy()
        setTimeout(() => socket.destroy(), stay)
      })
    }
  },
  flood: {
    count: 64,
    begin: (socket) => {
      // What is ended in order holds its port for a minute.
      socket.once("data", () => random() < 0.1 ? socket.destroy() : socket.resetAndDestroy())
      socket.write(question)
    }
  }
}

if (!Mixes.isMix(mix)) throw new Error(`there is no mix ${mix}`)
const { begin, count } = peers[mix]

let begun = 0

/** One after the other, for as long as this process lives. */
const peer = (): void => {
  const socket = connect({ host: "127.0.0.1", port: Number(port), noDelay: true })
  socket.on("connect", () => {
    begin(socket)
    if (++begun === count) console.log("storming")
  })
  socket.on("error", () => {}) // that is what they are for
  socket.on("close", () => setTimeout(peer, 1))
}

for (let i = 0; i < count; i++) peer()
