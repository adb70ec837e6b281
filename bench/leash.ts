/**
 * Preloaded into each server (`node --import`): it ends when its standard input does, that is when the harness is gone,
 * however that came about. With `--expose-gc` it also collects its garbage on SIGUSR2, for `linebench idle --gc`.
 */
process.stdin.on("end", () => process.exit(0)).on("error", () => process.exit(0)).resume()

const { gc } = globalThis
if (gc !== undefined) {
  process.on("SIGUSR2", () => {
    // Twice: what finalizers let go of is collected by the second.
    void gc()
    void gc()
  })
}
