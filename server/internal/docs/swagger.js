"use strict";

SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: "/openapi.json",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  showCommonExtensions: true,
  showExtensions: true,
  validatorUrl: null,
  plugins: [
    // The page may talk to its own server only, the first of the list, so there is nothing to choose.
    () => ({ components: { ServersContainer: () => null } }),
  ],
});
