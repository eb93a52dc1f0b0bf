import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, loadEnv } from "vite";

// `npm run dev` serves the page with hot reload beside a running `millrace serve`.
const server = loadEnv("", ".", "MILLRACE_").MILLRACE_URL ?? "http://127.0.0.1:4567";

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: "es2022",
    // The page's policy allows no data: or inline code, so every asset is a file of its own.
    assetsInlineLimit: 0,
    // hls.js is most of the page, and comes from the same machine.
    chunkSizeWarningLimit: 800,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": server, "/signin": server } },
});
